def render() -> None:
    """x"""
