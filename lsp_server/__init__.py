"""Code Llama in the editor: a language server and the engine that holds the model."""

__version__ = "0.1.0"
