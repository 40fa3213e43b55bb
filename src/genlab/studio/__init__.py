"""The studio: runs in the browser, on your own machine. It reads run directories, draws, and starts training runs."""
