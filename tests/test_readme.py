"""README.md keeps its word: its snippets run and print what it says, its links lead somewhere, it is short."""

import re
import subprocess
import sys

import pytest

from replication import paths

README = (paths.ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code, printed", SNIPPETS)
def test_snippet_prints_what_stands_below_it(code, printed, tmp_path):
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert result.stdout == printed, result.stderr[-2000:]


def test_every_snippet_says_what_it_prints():
    assert README.count("```python") == len(SNIPPETS) > 1


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in paths.ROOT.glob("docs/*.md"))]
)
def test_links_lead_somewhere(document):
    path = paths.ROOT / document
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = path.parent / file if file else path
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            rows = re.findall(r'<a id="(\w+)">', target.read_text())
            assert anchor in rows + [title.lower().replace(" ", "-") for title in titles], link


def test_the_readme_can_be_read_in_a_few_minutes():
    assert len(re.findall(r"\S*\w\S*", README)) <= 1300
