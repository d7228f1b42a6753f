"""How the documentation is made: documents are executed, pages assembled."""
