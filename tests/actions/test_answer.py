"""Code out of what models write around it."""

from __future__ import annotations

import pytest

from lsp_server.actions.answer import NoCode, code_of

ADD = "def add(a, b):\n    return a + b\n"
RUST = "/// Adds.\n#[inline]\nfn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n"
GO = "// Add adds.\nfunc Add(a, b int) int {\n\treturn a + b\n}\n"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("only code", ADD),
        ("no line ending", ADD.rstrip("\n")),
        ("fenced", f"```python\n{ADD}```"),
        ("fenced, no word", f"```\n{ADD}```\n"),
        ("fenced, another word for it", f"```py3\n{ADD}```\n"),
        ("fenced, capitals", f"```Python\n{ADD}```\n"),
        ("fenced, with attributes", f'```python title="add.py" {{1,2}}\n{ADD}```\n'),
        ("tildes", f"~~~ python\n{ADD}~~~\n"),
        ("four backticks", f"````python\n{ADD}````\n"),
        ("prose around a fence", f"Sure! Here is it:\n\n```python\n{ADD}```\n\nIt adds `a` and `b` (numbers).\n"),
        ("prose around bare code", f"Here is the simplified function:\n{ADD}\nIt returns the sum of `a` and `b`.\n"),
        ("prose of two lines around bare code", f"I made it shorter\nand clearer:\n\n{ADD}\nI hope\nthat helps!"),
        ("prose with calls in it", f"Here it is:\n\n{ADD}\nThe function add() gives the sum and sets x = 1 for you.\n"),
        ("a list behind it", f"{ADD}\n- It is short.\n- It is clear\n\n1. First this\n2. Then that\n"),
        ("a leading word", f"python\n{ADD}"),
        ("a leading word and a closing fence", f"python\n{ADD}```\nThis adds.\n"),
        ("only the closing fence", f"{ADD}```\nThis adds the numbers.\n"),
        ("Windows line endings", f"Here:\n```python\n{ADD}```\nDone.\n".replace("\n", "\r\n")),
        ("old Mac line endings", f"```python\n{ADD}```".replace("\n", "\r")),
        ("blank lines inside the fence", f"```python\n\n\n{ADD}\n\n```"),
        ("an indented fence", "1. So:\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n"),
        ("Code Llama's tags", f"[PYTHON]\n{ADD}[/PYTHON]\n[TESTS]\nassert add(1, 2) == 3\n[/TESTS]\n"),
        ("a fence in tags", f"[CODE]\n```python\n{ADD}```\n[/CODE]"),
        ("a fence in a fence", f"````markdown\nHere:\n```python\n{ADD}```\n````\n"),
        ("a shell block before", f"```bash\npip install everything that one could ever need\n```\n```python\n{ADD}```"),
        ("the longest in the language", f"```python\nadd(1, 2)\n```\nand\n```python\n{ADD}```\n"),
        ("a diff before", f"```diff\n-x\n+y\n+z and a lot more of text than there is code\n```\n```python\n{ADD}```"),
    ],
)
def test_the_code_alone(name: str, answer: str) -> None:
    code = code_of(answer, "python")
    assert code.text == ADD, name
    assert code.complete


@pytest.mark.parametrize(("language_id", "code"), [("rust", RUST), ("go", GO)])
def test_comments_are_not_prose(language_id: str, code: str) -> None:
    assert code_of(code, language_id).text == code
    assert code_of(f"Here is the function:\n\n{code}\nIt adds two numbers.\n", language_id).text == code


def test_fences_in_a_docstring() -> None:
    code = 'def f():\n    """Do.\n\n    ```\n    f()\n    ```\n    """\n    return 1\n'
    assert code_of(f"```python\n{code}```\n", "python").text == code
    code = "/// ```\n/// f();\n/// ```\nfn f() {}\n"
    assert code_of(f"```rust\n{code}```\n", "rust").text == code
    assert code_of(code, "rust").text == code


def test_the_block_that_defines_the_name() -> None:
    old = "def add(a, b):\n    total = a\n    total += b\n    return total\n"
    answer = f"You have:\n```python\n{old}```\nBetter:\n```python\n{ADD}```\nUse:\n```python\nprint(add(1, 2))\n```"
    assert code_of(answer, "python").text == old
    assert code_of(answer, "python", name="add").text == ADD


def test_indentation_is_kept() -> None:
    code = "    def add(self):\n        return 1\n"
    assert code_of(f"```python\n{code}```", "python").text == code
    assert code_of(code, "python").text == code


def test_signs_that_only_look_escaped_stay() -> None:
    code = 'x = "&lt;b&gt;" + "\\\\n"\n'
    assert code_of(f"```python\n{code}```", "python").text == code


@pytest.mark.parametrize(
    ("answer", "truncated", "complete"),
    [
        (f"```python\n{ADD}", True, False),
        (f"```python\n{ADD}", False, False),
        (f"Here is\n```\n{ADD}", True, False),
        (ADD, True, False),
        (ADD, False, True),
        (f"```python\n{ADD}```\nThis function is", True, True),
    ],
)
def test_whether_it_is_whole(answer: str, truncated: bool, complete: bool) -> None:
    code = code_of(answer, "python", truncated=truncated)
    assert code.text == ADD
    assert code.complete == complete


@pytest.mark.parametrize(("answer", "truncated", "complete"), [(ADD, False, True), (ADD, True, False)])
def test_behind_a_fence_that_the_prompt_opened(answer: str, truncated: bool, complete: bool) -> None:
    code = code_of(answer, "python", truncated=truncated, fence_open=True)
    assert (code.text, code.complete) == (ADD, complete)
    assert code_of(f"{ADD}```\nIt adds.", "python", truncated=truncated, fence_open=True).complete


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "  \n\n",
        "```python\n```",
        "```python\n\n",
        "I'm sorry, but I cannot do that.",
        "The function adds two numbers. It is already as simple as it gets!",
        "You could use a list comprehension (see the manual).\nThat would be shorter.",
        "- It adds a and b\n- It returns the sum\n",
        "The call f(x) is made twice, so x = 1 has no effect there.",
        "```\nI cannot do that.\n```",
        "```diff\n-a\n+b\n```",
        "Sure!",
    ],
)
def test_no_code(answer: str) -> None:
    with pytest.raises(NoCode) as caught:
        code_of(answer, "python")
    assert str(caught.value).startswith("The model ")
    assert str(caught.value).endswith(".")


def test_plain_text_is_what_it_says() -> None:
    assert code_of("Fix the cache when two keys collide\n", "plaintext").text == "Fix the cache when two keys collide\n"


@pytest.mark.parametrize("name", ["<EOT>", "</s>", "<|im_end|>", "<|endoftext|>", "<file_sep>", "</s>[INST] More?"])
def test_the_names_of_control_tokens_are_no_code(name: str) -> None:
    assert code_of(ADD + name, "python").text == ADD
    assert code_of(f"```python\n{ADD}```{name}", "python").text == ADD
    assert code_of(f"```python\n{ADD}{name}\n", "python").text == ADD


def test_a_control_token_that_the_code_is_about_is_kept() -> None:
    code = 'END = "</s>"\n'
    assert code_of(f"```python\n{code}```\n", "python").text == code
    code = "# after </s>\nx = 1\n"
    assert code_of(f"```python\n{code}```\n", "python", known="# after </s>\n").text == code


def test_what_nobody_sees_is_no_code() -> None:
    assert code_of("x = a\u200b + b\ufeff\n", "python").text == "x = a + b\n"
    assert code_of("x = 'a\u200b'\n", "python", known="x = 'a\u200b'\n").text == "x = 'a\u200b'\n"
