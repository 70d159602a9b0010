"""What is open at a place in code. What is right was found by hand, from the languages' own rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.scanner import open_after, steps
from lsp_server.context.languages import LANGUAGES

IDS = ["", "unknown", *LANGUAGES]


@given(st.sampled_from(IDS), st.text(st.sampled_from("ab \n\\\"'`()[]{}#/$%~?<>|=*-!"), max_size=60))
def test_every_line_end_is_told(language_id: str, text: str) -> None:
    read = list(steps(text, language_id))
    assert [step.end for step in read if step.newline] == [at + 1 for at, char in enumerate(text) if char == "\n"]


@pytest.mark.parametrize(
    ("language_id", "text"),
    [
        ("shellscript", 'echo "a \\\n  b"\n'),
        ("c", 'puts("a \\\n  b");\n'),
        ("python", "x = 'a \\\n  b'\n"),
        ("javascript", "x = 'a \\\n  b';\n"),
        ("rust", 'let x = "a \\\n  b";\n'),
        ("shellscript", "echo a \\\n  b\n"),
        ("shellscript", "for ((i=0; i<${#a[@]}; i++)); do\n"),
        ("shellscript", "x=${#a[@]}\n"),
        ("shellscript", 'x="${#a[@]}" # (\n'),
        ("shellscript", "echo \\(\n"),
        ("shellscript", "[[ $x =~ ^\\( ]]\n"),
        ("shellscript", "echo ${x#*(} ${y:-${z}}\n"),
        ("perl", "$x =~ s/[(\\[]//g;\n"),
        ("perl", "return $x =~ /\\(/;\n"),
        ("perl", "my @w = qw(a b); my $r = qr{[(]}; $n = $#{$x};\n"),
        ("perl", "die if $] ge 5;\n"),
        ("perl", "$x->m($y); $h{s}{a} = $h{y}/2;\n"),
        ("ruby", "x.gsub %r{[(]}, ''\n"),
        ("ruby", "x.split ?(\n"),
        ("ruby", "x = a ? (b) : [c]\n"),
        ("ruby", "x = 7 % (a + b)\n"),
        ("elixir", 'Regex.replace(~r/[(]/, x, "")\n'),
        ("elixir", "?(\n"),
        ("clojure", "(str \\( s)\n"),
        ("swift", "let r = /[(]/\n"),
        ("erlang", "% [0, 1)\n"),
        ("matlab", "% [0, 1)\n"),
        ("fortran", "! [0, 1)\n"),
        ("ini", "a = b (c\n"),
        ("yaml", "a: b :)\n"),
        ("php", "# [0, 1)\n"),
    ],
)
def test_what_is_whole_leaves_nothing_open(language_id: str, text: str) -> None:
    read = list(steps(text, language_id))
    assert unmatched(read) == ([], [])
    assert [each.mark for each in open_after(read, ())] == []


@pytest.mark.parametrize(
    ("language_id", "text", "open_marks"),
    [
        ("shellscript", "f() { echo $(a ${b}", "{("),
        ("shellscript", 'echo "a \\\n b ${c', '"{'),
        ("python", "x = 'a \\\n b", "'"),
        ("python", "x = 'a \n b", ""),
        ("perl", "if ($x =~ /(/) {", "{"),
        ("ruby", "f(a ? b : [c", "(["),
        ("yaml", "a: [b, {c: (", "[{"),
        ("swift", "f(a / b, (", "(("),
    ],
)
def test_what_is_open(language_id: str, text: str, open_marks: str) -> None:
    assert "".join(each.mark for each in open_after(steps(text, language_id), ())) == open_marks
