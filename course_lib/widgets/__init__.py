"""Panels for JupyterLab, one file each; every panel also draws itself as a plain figure."""
