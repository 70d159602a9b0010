"""The adapter that the starter is made with: worked by hand on a small model."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lsp_server.engine.loading import adapter


@pytest.fixture
def model():
    model = nn.Sequential()
    model.table = nn.Embedding(3, 2)
    model.linear = nn.Linear(2, 2, bias=False)
    model.table.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    model.linear.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    return model.half()


def test_weights_and_rows(model, tmp_path):
    tensors = {
        "linear.a": torch.tensor([[1, -1], [0, 2]], dtype=torch.int8),
        "linear.b": torch.tensor([[4, 1], [1, 0]], dtype=torch.int8),
        "linear.scale": torch.tensor([1.5, 0.5]),
        "table.rows": torch.tensor([[7.0, 8.0], [9.0, 10.0]]),
        "table.ids": torch.tensor([2, 0]),
    }
    place = tmp_path / "adapter.safetensors"
    save_file(tensors, place)
    adapter.merge(model, place)
    # 1.5 * [[4, -4], [1, -1]] + 0.5 * [[0, 2], [0, 0]] on top of [[1, 2], [3, 4]]
    assert model.linear.weight.tolist() == [[7.0, -3.0], [4.5, 2.5]]
    assert model.table.weight.tolist() == [[9.0, 10.0], [3.0, 4.0], [7.0, 8.0]]
    assert model.linear.weight.dtype == model.table.weight.dtype == torch.float16


def test_a_module_that_is_not_there(model, tmp_path):
    place = tmp_path / "adapter.safetensors"
    save_file({"other.a": torch.ones(1, 2), "other.b": torch.ones(2, 1), "other.scale": torch.ones(1)}, place)
    with pytest.raises(AttributeError, match="other"):
        adapter.merge(model, place)
