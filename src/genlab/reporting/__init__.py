"""Reports: `pages` says what stands on a page, `figures` draws, `render` makes the HTML. All read only the run directory."""
