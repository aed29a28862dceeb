"""Loads the student of a run in two ways: as a pipeline of transformers, and as an ONNX file.

Usage: pip install onnxscript onnxruntime
       python examples/serve_student.py runs/demo/student
"""

import sys

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

student = sys.argv[1]
texts = ["My parcel has not arrived, where is it?", "I was charged twice."]

classify = pipeline("text-classification", model=student)
for text, found in zip(texts, classify(texts), strict=True):
    print(f"{found['label']} ({found['score']:.0%}): {text}")

# torch.onnx, because optimum does not support transformers 5.
model = AutoModelForSequenceClassification.from_pretrained(student).eval()
tokenizer = AutoTokenizer.from_pretrained(student)
example = dict(tokenizer(texts, padding=True, return_tensors="pt"))
path = "student.onnx"
torch.onnx.export(
    model,
    kwargs=example,
    f=path,
    dynamo=True,
    verbose=False,
    input_names=list(example),
    output_names=["logits"],
    dynamic_shapes={name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in example},
)

session = onnxruntime.InferenceSession(path)
more = [*texts, "Which sizes do you have in blue?"]  # another number and length of texts than in the export
[logits] = session.run(["logits"], dict(tokenizer(more, padding=True, return_tensors="np")))
with torch.no_grad():
    expected = model(**tokenizer(more, padding=True, return_tensors="pt")).logits.numpy()
print([model.config.id2label[i] for i in logits.argmax(-1)])
print(f"The logits of {path} differ from those of the pipeline by at most {np.abs(logits - expected).max():.0e}.")
