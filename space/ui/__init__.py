"""The page and the API of the Space, in gradio; `app.py` puts it together and serves it."""
