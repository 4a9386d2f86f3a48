"""MkDocs hooks: links out of ``docs/``, and Sphinx roles in docstrings.

The pages link to files of the repository (``../benchmarks/results/demo.png``), so that they read
well there too. On the site a picture is copied from where it lies, and any other file is named.
"""

from __future__ import annotations

from pathlib import Path
import posixpath
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page


_PICTURES = "benchmarks/results"
_LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^]]*)\]\((?P<target>\.\.?/[^)#\s]+)(?:#[^)\s]*)?\)"
)
_ROLE = re.compile(r":\w+:<code>(?:~[\w.]*?(?P<last>\w+)|(?P<whole>[\w.]+))</code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures of the repository to the site."""
    root = Path(config.config_file_path).parent
    for path in sorted((root / _PICTURES).glob("*.png")):
        source = f"{_PICTURES}/{path.name}"
        files.append(File.generated(config, source, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Redirect links that leave ``docs/``."""
    folder = posixpath.dirname(page.file.src_uri)

    def redirect(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link["target"]))
        if not target.startswith("../"):
            return link[0]
        inside = target.removeprefix("../")
        if link["picture"]:
            return f"![{link['text']}]({posixpath.relpath(inside, folder or '.')})"
        name = f"`{inside}`"
        return name if link["text"].strip("`") == inside else f"{link['text']} ({name})"

    return _LINK.sub(redirect, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show Sphinx's roles (``:class:`~a.B```) as code, and its ``::`` as a colon."""
    html = _ROLE.sub(lambda role: f"<code>{role['last'] or role['whole']}</code>", html)
    return html.replace("::</p>", ":</p>")
