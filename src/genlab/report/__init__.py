"""What users see: `page` holds a page's content, `curves` and `figures` draw, `html` renders. All read only the run."""
