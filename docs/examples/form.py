"""Writes a page with an HTML form that uploads one file by a valet key:

    valetkey sign /files/inbox/photo.png --allow create --max 5MiB | python3 form.py - > form.html

An application does the same for each of its users: it signs a key for the object that it has in mind, and puts the key
into the form as hidden fields.
"""

import sys
from html import escape
from urllib.parse import parse_qsl, unquote, urlsplit


def of_url(url):
    """The address of a form for the object of this upload URL, and its fields."""
    parts = urlsplit(url)
    _, bucket, name = unquote(parts.path).split("/", 2)
    key = dict(parse_qsl(parts.query, strict_parsing=True))
    return f"{parts.scheme}://{parts.netloc}/{bucket}", {**key, "key": name}


def page(address, fields):
    """A page with that form. Its file comes last, as it must."""
    hidden = "\n".join(
        f'  <input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<title>Upload</title>
<form action="{escape(address)}" method="post" enctype="multipart/form-data">
{hidden}
  <input type="file" name="file" required>
  <button>Upload</button>
</form>
</html>"""


if __name__ == "__main__":
    given = sys.argv[1]
    print(page(*of_url(sys.stdin.readline().strip() if given == "-" else given)))
