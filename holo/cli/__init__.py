"""The ``holo`` command: one module per noun, each imported only when its verb is used."""
