"""The Gradio Space, a guest of the package: `freeal-hf space` starts its `app.py`, and nothing imports it."""
