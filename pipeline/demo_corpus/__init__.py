"""The demo corpus: public-domain scores that music21 carries, cut, transposed and rendered to audio with a soundfont.

    catalogue ──> parts ──> excerpt (10 s of notes, key) ──> selection (who is in, which split) ──> render ──> FLAC
                   keys ──────┘                                 └──> ledger ──> CSV

`recipe` holds what may change the audio, `production` runs the rest in parallel and restartably. Scores are read where
music21 installed them and are never copied. Needs the extra `demo`; `pipeline.datasets.demo` is the door.
"""
