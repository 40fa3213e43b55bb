"""Reports: `pages` says what stands on a page, `figures` draws, `render` makes HTML. All read only the run."""
