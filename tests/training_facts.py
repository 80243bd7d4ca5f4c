"""The facts of the training tests."""

LANGUAGES = ("de", "en", "fi")
TOPICS = ("lake", "river", "forest", "mountain", "island", "desert", "bridge", "harbour", "castle", "garden", "valley",
          "glacier", "canal", "tower", "museum", "library", "market", "station", "airport", "temple")  # fmt: skip
DEV_TOPICS = ("school", "hospital", "waterfall", "lighthouse", "vineyard", "cathedral")
FORMS = {"de": ("wo liegt {}?", "{} liegt im norden."), "en": ("where is {}?", "{} lies in the north."),
         "fi": ("missa on {}?", "{} on pohjoisessa.")}  # fmt: skip
