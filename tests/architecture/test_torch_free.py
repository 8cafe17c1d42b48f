"""Serving never needs torch: a fresh interpreter in which it cannot be imported serves a real image."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import service

SCRIPT = """
import importlib, io, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "onnx", "onnxscript"):
            raise ImportError(f"{name} is not to be had here")

sys.meta_path.insert(0, Refuse())
for name in sys.argv[2:]:
    importlib.import_module(name)

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image
from service.app import create_app
from service.settings import read_settings

file = io.BytesIO()
Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(file, "PNG")
with TestClient(create_app(read_settings(bundle=(sys.argv[1],), threads=1)), "http://localhost") as client:
    while client.get("/health").status_code != 200:
        pass
    answer = client.post("/v1/images/embeddings", files={"file": file.getvalue()})
    prediction = client.post("/v1/predict", content=file.getvalue(), params={"targets": '[{"patches": [5]}]'})
assert len(answer.json()["data"][0]["embedding"]) == 32, answer.text
assert prediction.json()["targets"][0]["patches"] == [5], prediction.text
assert "torch" not in sys.modules
print("served")
"""


def test_all_of_service_serves_a_image_with_torch_unimportable(golden):
    names = [module.name for module in pkgutil.walk_packages(service.__path__, "service.")]
    assert len(names) > 25
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(golden), *names], capture_output=True, text=True, check=False
    )
    assert result.stdout == "served\n", result.stderr


def test_both_init_files_import_nothing():
    root = Path(service.__file__).parents[1]
    for package in ("models", "service", "training"):
        assert "import " not in (root / package / "__init__.py").read_text().split('"""')[2]
