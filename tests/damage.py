"""Damaged copies of files, for hypothesis; zips of files."""

import io
import zipfile

from hypothesis import strategies as st


def zipped(files, compression=zipfile.ZIP_STORED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@st.composite
def damaged(draw, *files):
    """One of the files after one to four bit flips, cuts, paddings or overwritten numbers."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.one_of(st.integers(0, 127), st.integers(0, len(data) - 1))) % len(data)
        match draw(st.sampled_from(["flip", "cut", "pad", "overwrite"])):
            case "flip":
                data[position] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[max(1, position) :]
            case "pad":
                data += draw(st.binary(min_size=1, max_size=9))
            case "overwrite":
                data[position : position + 4] = draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"]))
    return bytes(data)
