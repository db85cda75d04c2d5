"""An HTML page as its tags and texts."""

from __future__ import annotations

from html.parser import HTMLParser


class Elements(HTMLParser):
    """Tags with attributes, the text outside of scripts and styles, and the content of each script and style."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open, self.raw = [], "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        if tag in ("script", "style"):
            self.raw.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[-1][2] += data
        else:
            self.text += data

    def count(self, tag):
        """Return the number of elements with a tag."""
        return sum(name == tag for name, _ in self.tags)


def section_text(section):
    """Return the text of a section, with each run of white space as one space."""
    return " ".join(Elements(section.body).text.split())
