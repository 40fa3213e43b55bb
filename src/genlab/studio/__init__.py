"""The studio: runs in the browser, on one's own machine. It reads run directories, draws, and starts trainings."""
