"""The four steps of the page, and the tabs of the last one."""
