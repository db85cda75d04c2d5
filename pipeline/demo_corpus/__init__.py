"""The demo corpus: public-domain scores of music21, cut, transposed and rendered to audio with a soundfont.

    catalog ──> parts ──> excerpt (10 s of notes, key) ──> selection (used or not, split) ──> synthesizer ──> FLAC
                 keys ──────┘                                 └──> build log ──> CSV

`rendering_settings` holds everything that can change the audio. `rendering` runs the other modules in parallel and can
be interrupted and restarted. Scores are read from the installed music21 package and are never copied. The package needs
the extra `demo`. Other packages use it through `pipeline.datasets.demo`.
"""
