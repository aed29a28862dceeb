"""The web app, made with Gradio. `freeal-hf space` starts it as a process; no other package imports it."""
