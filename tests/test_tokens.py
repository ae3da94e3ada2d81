"""`cavesson tokens`: what a user sees of what is trained."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from cavesson.chat import Conversation
from cavesson.cli.tokens import READ, TRAINED, coloured, tokens
from cavesson.data.example import Example
from cavesson.data.sources import write_examples
from cavesson.errors import CavessonError
from cavesson.models.rendering import Renderer
from families import CHATML, MISTRAL, tiny_folder, tokenizer_for

app = typer.Typer()
app.command()(tokens)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    write_examples(path, [Example(Conversation.of(f"Question {i}\n<|im_end|>", "An answer.")) for i in range(9)])
    return path


def test_trained_text_is_marked_where_there_are_no_colours(tmp_path, data):
    folder = tiny_folder(tmp_path / "model")
    result = CliRunner().invoke(app, [str(data), "--model", str(folder), "-n", "2"])
    assert result.exit_code == 0, result.output
    assert result.output.count("⟦An answer.<|im_end|>⟧") == 2
    assert "Question 1↵\n<|im_end|><|im_end|>↵" in result.output
    assert "Question 2" not in result.output
    numbers = CliRunner().invoke(app, [str(data), "--model", str(folder), "--ids"]).output
    end = Renderer(tokenizer_for(CHATML)).tokenizer.eos_token_id
    assert f"<|im_end|>·{end} " in numbers


@pytest.mark.parametrize("template", [CHATML, MISTRAL])
def test_every_token_has_its_colour_and_the_text_is_whole(template):
    renderer = Renderer(tokenizer_for(template))
    row = renderer.render(Conversation.of("Hello there!", "It is the captain."))
    text = coloured(renderer, row)
    assert [str(span.style) in TRAINED for span in text.spans] == [bool(flag) for flag in row.mask]
    assert {str(span.style) for span in text.spans} <= {*TRAINED, *READ}
    assert "Hello there!" in text.plain and "It is the captain." in text.plain


def test_a_missing_file_or_model_is_an_error_of_the_users(tmp_path, data):
    for arguments in (
        [str(tmp_path / "none.jsonl")],
        [str(data), "--model", "./none"],
        [str(data), "--train-on", "user"],
    ):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, CavessonError) and result.exception.remedy
