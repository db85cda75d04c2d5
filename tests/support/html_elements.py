"""An HTML page as its tags and texts, for tests of pages."""

from __future__ import annotations

from html.parser import HTMLParser


class Elements(HTMLParser):
    """Tags with their attributes, the text outside of scripts and styles, and what stands in each of those."""

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

    def counts(self, tag):
        return sum(one == tag for one, _ in self.tags)

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[-1][2] += data
        else:
            self.text += data
