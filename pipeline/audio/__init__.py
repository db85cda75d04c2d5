"""A file becomes samples, samples become a mel; a leaf room that imports `stores` only, so `model` may use it too."""
