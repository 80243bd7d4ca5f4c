"""Words and signs of languages that the changes need; a language that is not here is not given the change."""

from __future__ import annotations

#: What a courteous question begins with; the question follows unchanged.
PLEASE = {
    "en": "Please tell me: ", "ar": "من فضلك أخبرني: ", "bn": "দয়া করে আমাকে বলুন: ", "de": "Bitte sag mir: ",
    "el": "Παρακαλώ πες μου: ", "es": "Por favor, dime: ", "fi": "Ole hyvä ja kerro minulle: ",
    "fr": "S'il te plaît, dis-moi : ", "hi": "कृपया मुझे बताएं: ", "id": "Tolong beri tahu saya: ",
    "it": "Per favore, dimmi: ", "ja": "教えてください：", "ko": "알려 주세요: ", "nl": "Vertel me alsjeblieft: ",
    "pl": "Proszę, powiedz mi: ", "pt": "Por favor, diga-me: ", "ru": "Пожалуйста, скажи мне: ",
    "sv": "Snälla, säg mig: ", "sw": "Tafadhali niambie: ", "te": "దయచేసి నాకు చెప్పండి: ",
    "th": "โปรดบอกฉันว่า: ", "tr": "Lütfen bana söyle: ", "vi": "Xin hãy cho tôi biết: ", "zh": "请告诉我：",
    "zh-Hant": "請告訴我：",
}  # fmt: skip

#: What a courteous question ends with, as a sentence of its own.
THANKS = {
    "en": "Thank you.", "ar": "شكرًا.", "bn": "ধন্যবাদ।", "de": "Danke.", "el": "Ευχαριστώ.", "es": "Gracias.",
    "fi": "Kiitos.", "fr": "Merci.", "hi": "धन्यवाद।", "id": "Terima kasih.", "it": "Grazie.",
    "ja": "ありがとうございます。", "ko": "감사합니다.", "nl": "Dank je wel.", "pl": "Dziękuję.", "pt": "Obrigado.",
    "ru": "Спасибо.", "sv": "Tack.", "sw": "Asante.", "te": "ధన్యవాదాలు.", "th": "ขอบคุณ", "tr": "Teşekkürler.",
    "vi": "Cảm ơn.", "zh": "谢谢。", "zh-Hant": "謝謝。",
}  # fmt: skip

#: The code point of each language's own zero; nine digits follow it.
ZERO = {
    "ar": 0x0660, "as": 0x09E6, "bn": 0x09E6, "bo": 0x0F20, "ckb": 0x0660, "fa": 0x06F0, "gu": 0x0AE6, "hi": 0x0966,
    "km": 0x17E0, "kn": 0x0CE6, "lo": 0x0ED0, "ml": 0x0D66, "mr": 0x0966, "my": 0x1040, "ne": 0x0966, "or": 0x0B66,
    "pa": 0x0A66, "ps": 0x06F0, "sa": 0x0966, "ta": 0x0BE6, "te": 0x0C66, "th": 0x0E50, "ur": 0x06F0,
}  # fmt: skip

#: Languages that set no blank between sentences, and a wide colon.
DENSE = frozenset({"ja", "zh", "zh-Hant", "yue"})

#: Languages whose i is not the capital I.
DOTTED = frozenset({"az", "crh", "kk-Latn", "tr", "tt-Latn"})

#: Signs that end a question, by language where they mean something else elsewhere.
MARKS = "?\uff1f\u061f\u2047\u203d"
OWN_MARKS = {"el": ";\u037e", "hy": "\u055e"}


def blank(language: str) -> str:
    """Return what stands between two sentences."""
    return "" if language in DENSE else " "


def lower(text: str, language: str) -> str:
    """Return ``text`` without capitals, as the language writes it.

    >>> lower("ISPARTA İlk", "tr"), lower("ISPARTA", "en")
    ('ısparta ilk', 'isparta')
    """
    if language in DOTTED:
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()


def upper(text: str, language: str) -> str:
    """Return ``text`` in capitals, as the language writes it.

    >>> upper("ısparta ilk", "tr")
    'ISPARTA İLK'
    """
    if language in DOTTED:
        text = text.replace("i", "İ").replace("ı", "I")
    return text.upper()
