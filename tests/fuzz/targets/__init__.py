"""Every target; a module for each part of holo that they are about."""
