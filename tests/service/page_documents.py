"""Articles 1, 3 and 26 of the Universal Declaration of Human Rights in eleven languages, and texts that mean harm."""

from __future__ import annotations

from typing import Any

LANGUAGES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "fi": "Finnish",
    "ru": "Russian",
    "ar": "Arabic",
    "he": "Hebrew",
    "th": "Thai",
    "ja": "Japanese",
    "zh-Hans": "Simplified Chinese",
}
RIGHT_TO_LEFT = ("ar", "he")

_TITLES = {
    "en": "Article", "de": "Artikel", "fr": "Article", "es": "Artículo", "fi": "Artikla", "ru": "Статья",
    "ar": "المادة", "he": "סעיף", "th": "ข้อ", "ja": "第条", "zh-Hans": "第条",
}  # fmt: skip

_ARTICLES = {
    "1": {
        "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
        "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
        "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
        "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
        "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
        "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
        "ar": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلًا وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح الإخاء.",
        "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם לנהוג איש ברעהו ברוח של אחווה.",
        "th": "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในศักดิ์ศรีและสิทธิ ต่างในตนมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยจิตวิญญาณแห่งภราดรภาพ",
        "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
        "zh-Hans": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    },
    "3": {
        "en": "Everyone has the right to life, liberty and security of person.",
        "de": "Jeder hat das Recht auf Leben, Freiheit und Sicherheit der Person.",
        "fr": "Tout individu a droit à la vie, à la liberté et à la sûreté de sa personne.",
        "es": "Todo individuo tiene derecho a la vida, a la libertad y a la seguridad de su persona.",
        "fi": "Kullakin yksilöllä on oikeus elämään, vapauteen ja henkilökohtaiseen turvallisuuteen.",
        "ru": "Каждый человек имеет право на жизнь, на свободу и на личную неприкосновенность.",
        "ar": "لكل فرد الحق في الحياة والحرية وسلامة شخصه.",
        "he": "כל אדם יש לו הזכות לחיים, לחירות ולביטחון אישי.",
        "th": "ทุกคนมีสิทธิในการมีชีวิต เสรีภาพ และความมั่นคงแห่งบุคคล",
        "ja": "すべて人は、生命、自由及び身体の安全に対する権利を有する。",
        "zh-Hans": "人人有权享有生命、自由和人身安全。",
    },
    "26": {
        "en": "Everyone has the right to education. Education shall be free, at least in the elementary and fundamental stages.",
        "de": "Jeder hat das Recht auf Bildung. Die Bildung ist unentgeltlich, zum mindesten der Grundschulunterricht und die grundlegende Bildung.",
        "fr": "Toute personne a droit à l'éducation. L'éducation doit être gratuite, au moins en ce qui concerne l'enseignement élémentaire et fondamental.",
        "es": "Toda persona tiene derecho a la educación. La educación debe ser gratuita, al menos en lo concerniente a la instrucción elemental y fundamental.",
        "fi": "Jokaisella on oikeus saada opetusta. Opetuksen on oltava ainakin alkeis- ja perusopetuksen osalta maksutonta.",
        "ru": "Каждый человек имеет право на образование. Образование должно быть бесплатным по меньшей мере в том, что касается начального и общего образования.",
        "ar": "لكل شخص الحق في التعلم. ويجب أن يكون التعليم في مراحله الأولى والأساسية على الأقل بالمجان.",
        "he": "כל אדם זכאי לחינוך. החינוך יינתן חינם, לפחות בשלבים הראשונים והיסודיים.",
        "th": "ทุกคนมีสิทธิในการศึกษา การศึกษาจะต้องให้เปล่าอย่างน้อยในขั้นประถมศึกษาและขั้นพื้นฐาน",
        "ja": "すべて人は、教育を受ける権利を有する。教育は、少なくとも初等の及び基礎的の段階においては、無償でなければならない。",
        "zh-Hans": "人人都有受教育的权利,教育应当免费,至少在初级和基本阶段应如此。",
    },
}  # fmt: skip

SCRIPT = "<script>window.hit=1</script>"
IMAGE = "<img src=x onerror=window.hit=1>"
HARM = (
    ("script", SCRIPT, f"{SCRIPT} {IMAGE} </p></article><svg onload=window.hit=1> &lt;b&gt; javascript:window.hit=1"),
    ("long", "A very long word", "rights" * 60 + " and an address https://example.org/" + "a" * 200),
    ("emoji", "Family 👩‍👩‍👧‍👦 rights", "𠮷野家 👩‍👩‍👧‍👦 comes first. Then 👍🏽 rights in the second sentence. And 🏳️‍🌈 last."),
    ("far", "The answer comes late", "Words that come before say little about it. " * 60 + "Rights are answered here. And more follows."),
    ("turn", "Turned \u202eround", "Marks that turn text \u202eround must not turn the page's rights."),
)  # fmt: skip


def documents() -> list[dict[str, Any]]:
    """Return the documents as the service shows them, but for rank, score and what depends on the question."""
    made = [
        {
            "id": f"{article}-{code}",
            "group": article,
            "title": f"{_TITLES[code]} {article}",
            "text": text,
            "language": code,
            "fields": {"article": int(article), "source": "UDHR"},
        }
        for article, texts in _ARTICLES.items()
        for code, text in texts.items()
    ]
    made += [
        {
            "id": name,
            "group": "",
            "title": title,
            "text": text,
            "language": "en",
            "fields": {"note": text[:60], SCRIPT: 1},
        }
        for name, title, text in HARM
    ]
    return made
