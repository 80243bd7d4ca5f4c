"""Write pages for the tests of documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def pdf(path: Path, pages: Sequence[str], *, title: str = "", language: str = "") -> Path:
    """Write a PDF with a line of text on each page, in any script, whose glyphs say which characters they are."""
    letters = sorted({letter for page in pages for letter in page})
    glyphs = {letter: f"{number:04x}" for number, letter in enumerate(letters, 1)}
    table = "\n".join(f"<{glyphs[letter]}> <{letter.encode('utf-16-be').hex()}>" for letter in letters)
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def /CMapType 2 def\n1 "
        f"begincodespacerange <0000> <ffff> endcodespacerange\n{len(letters)} beginbfchar\n{table}\nendbfchar\nendcmap"
    )
    kids = " ".join(f"{6 + 2 * number} 0 R" for number in range(len(pages)))
    font = "<< /Type /Font /BaseFont /F /Subtype"
    system = "/Registry (Adobe) /Ordering (Identity) /Supplement 0"
    about = "/Type /FontDescriptor /FontName /F /Flags 4"
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {f'/Lang ({language})' if language else ''} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        f"{font} /Type0 /Encoding /Identity-H /DescendantFonts [4 0 R] /ToUnicode 5 0 R >>",
        f"{font} /CIDFontType2 /CIDSystemInfo << {system} >> /DW 500 /FontDescriptor << {about} >> >>",
        _stream(cmap),
    ]
    for number, page in enumerate(pages):
        shown = f"BT /F 12 Tf 50 700 Td <{''.join(glyphs[letter] for letter in page)}> Tj ET" if page else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {7 + 2 * number} 0 R "
            "/Resources << /Font << /F 3 0 R >> >> >>"
        )
        objects.append(_stream(shown))
    objects.append(f"<< /Title <feff{title.encode('utf-16-be').hex()}> >>")
    content, places = "%PDF-1.7\n", list[int]()
    for number, each in enumerate(objects, 1):
        places.append(len(content))
        content += f"{number} 0 obj\n{each}\nendobj\n"
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer << /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(content)}\n%%EOF\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"{content}xref\n0 {size}\n0000000000 65535 f \n{rows}{trailer}".encode("ascii"))
    return path


def _stream(content: str) -> str:
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"
