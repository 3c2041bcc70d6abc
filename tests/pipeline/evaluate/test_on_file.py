"""The production model on strangers' files: what is printed, what is refused, and that nothing is written."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluate.figures import measure
from pipeline.evaluate.on_file import among, read_labelled, report
from pipeline.files import DataFileError, write_json
from pipeline.learn.examples import Example
from pipeline.model.folder import METADATA_FILE, read_metadata
from pipeline.serve.classifier import Classifier
from tests.support import ROOT


def tsv(path: Path, rows: list[tuple[str, int]], newline: str = "\n") -> Path:
    lines = ["text\tlabel", *(f"{text}\t{label}" for text, label in rows)]
    data = (newline.join(lines) + newline).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(scope="module")
def rows(base_examples: list[Example]) -> list[tuple[str, int]]:
    return [(example.text.replace("\n", " "), example.label) for example in base_examples]


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    texts = ['그는 "좋다', "줄\u2028바꿈\x0b", "a,b"]
    for name, newline in (("a.tsv", "\n"), ("b.tsv.gz", "\n"), ("c.tsv", "\r\n")):
        found, labels = read_labelled(tsv(tmp_path / name, list(zip(texts, (0, 1, 2), strict=True)), newline))
        assert found == texts
        assert labels.tolist() == [0, 1, 2]
    other = tmp_path / "d.tsv"
    other.write_bytes(b"\xef\xbb\xbflabel\tid\ttext\n2\t7\tgood\n\n\n")  # BOM, columns in another order, blank end
    assert read_labelled(other)[0] == ["good"]
    assert read_labelled(other)[1].tolist() == [2]
    other.write_bytes('content,label\n"a, ""b""",긍정\n\nc,0.0\n'.encode())  # a CSV, with an empty line
    assert read_labelled(other)[0] == ['a, "b"', "c"]
    assert read_labelled(other)[1].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"lacks the column\(s\) text, label; it has none"),
        (b"document\tlabel\n", r"lacks the column\(s\) text; it has document, label"),
        (b"text\ttext\tlabel\n", r"line 1: the column text is there more than once"),
        (b"text\tlabel\n", r"no texts"),
        (b"text\tlabel\na\t0\nb\n", r"line 3: 1 field\(s\), but the header has 2"),
        (b"text\tlabel\na\t0\nb\tc\t1\n", r"line 3: 3 field"),
        (b"text\tlabel\na\t3\n", r"line 2: '3' is not a label"),
        (b"text\tlabel\na\t0\n\nb\n", r"line 4: 1 field"),
        (b"text\tlabel\na\t0\n \t1\n", r"line 3: the text is empty"),
        (b"text\tlabel\na\t0\n\xff\t1\n", r"line 3: not UTF-8"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_bytes(data)
    with pytest.raises(DataFileError, match=rf"bad\.tsv.*{message}"):
        read_labelled(path)


def test_a_file_that_is_not_there_or_no_gzip(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="missing"):
        read_labelled(tmp_path / "none.tsv")
    whole = gzip.compress(b"text\tlabel\na\t0\n")
    for data in (b"text\tlabel\n", whole[:-9], b""):
        (tmp_path / "x.tsv.gz").write_bytes(data)
        with pytest.raises(DataFileError, match=r"x\.tsv\.gz"):
            read_labelled(tmp_path / "x.tsv.gz")


def test_figures_are_those_of_the_model(tmp_path: Path, tiny_model: Path, rows: list[tuple[str, int]]) -> None:
    text = report(tsv(tmp_path / "a.tsv", rows), tiny_model, samples=50, seed=1)
    labels = np.array([label for _, label in rows])
    expected = measure(labels, Classifier.load(tiny_model).probabilities([t for t, _ in rows]), samples=50, seed=1)
    assert "60 texts (부정 20, 중립 20, 긍정 20)" in text
    assert f"accuracy  {expected['accuracy']:.4f}" in text
    low, high = expected["macro_f1_low"], expected["macro_f1_high"]
    assert f"macro-F1  {expected['macro_f1']:.4f}  (95 % interval {low:.4f} to {high:.4f}" in text
    assert f"ECE       {expected['ece']:.4f}" in text
    for k, name in enumerate(("negative", "neutral", "positive")):
        cells = " | ".join(f"{expected[name][figure]:.3f}" for figure in ("precision", "recall", "f1"))
        assert re.search(rf"\| {k} \w\w \| {cells} \| 20 \|", text)
    assert "불확실" not in text  # the tiny model's threshold is not known


def test_a_binary_file_is_a_choice_of_two_and_says_so(
    tmp_path: Path, tiny_model: Path, rows: list[tuple[str, int]]
) -> None:
    binary = [(text, label) for text, label in rows if label != 1]
    text = report(tsv(tmp_path / "b.tsv", binary), tiny_model, samples=50, seed=1)
    labels = np.array([label for _, label in binary])
    free = Classifier.load(tiny_model).probabilities([t for t, _ in binary])
    two = np.where(free[:, 2] > free[:, 0], 2, 0)
    assert f"accuracy  {(two == labels).mean():.4f}" in text
    assert "No text is labelled 중립: the model chooses between 부정 and 긍정" in text
    called = int((free.argmax(axis=1) == 1).sum())
    assert f"accuracy {(free.argmax(axis=1) == labels).mean():.4f}, {called} texts are called 중립" in text
    assert "| 1 중립 |" not in text
    assert "write 2" not in text
    ones = [(text, min(label, 1)) for text, label in binary]
    assert "If 1 means positive in this file, write 2" in report(
        tsv(tmp_path / "c.tsv", ones), tiny_model, samples=5, seed=1
    )
    only = report(tsv(tmp_path / "d.tsv", [r for r in binary if r[1] == 0]), tiny_model, samples=5, seed=1)
    assert "Every label is 부정" in only


def test_probabilities_among_two() -> None:
    np.testing.assert_allclose(among(np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]]), [0, 2]), [[0.4, 0, 0.6], [0, 0, 0]])


@pytest.mark.slow
def test_the_command_prints_and_writes_nothing(
    tmp_path: Path, tiny_model: Path, tiny_inputs: Path, rows: list[tuple[str, int]], model_copy
) -> None:
    folder = model_copy(tmp_path / "models" / "production", "20261201T000000")
    write_json(folder / METADATA_FILE, {**read_metadata(folder), "abstain_below": 0.34})
    (tmp_path / "params.yaml").write_bytes((tiny_inputs / "params.yaml").read_bytes())
    tsv(tmp_path / "mine.tsv.gz", rows)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "pipeline.evaluate", *arguments]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = command("--on", "mine.tsv.gz")
    assert done.returncode == 0, done.stderr
    assert "model 20261201T000000, on mine.tsv.gz: 60 texts" in done.stdout
    assert "Not 불확실 (confidence 0.34 or more)" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    failed = command("--on", "mine.tsv.gz", "--model", "models/other")
    assert failed.returncode == 1
    assert "metadata.json can't be read" in failed.stderr
    assert "Traceback" not in failed.stderr
