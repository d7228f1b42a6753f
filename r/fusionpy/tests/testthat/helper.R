# Tests that need Python are skipped where there is none, unless FUSIONPY_TEST=all says that there is.
skip_without_python <- function() {
  if (identical(Sys.getenv("FUSIONPY_TEST"), "all")) return(invisible())
  testthat::skip_if_not(fusionpy_config()$available, "Python's fusionpy")
}

quietly <- suppressMessages

# Samples, small enough to be quick, and a model of them: made once.
made <- new.env()

donors <- function(n = 600) {
  if (is.null(made$donor)) made$donor <- load_donor()
  made$donor[seq_len(n)]
}

recipients <- function(n = 100) {
  if (is.null(made$recipient)) made$recipient <- load_recipient()
  made$recipient[seq_len(n)]
}

X <- c("region", "urban", "rooms", "income", "education")
FAST <- list(num_iterations = 20)

model <- function() {
  if (is.null(made$fsn)) {
    y <- list("insulation", c("electricity", "vehicles"), "solar", "gas_bill")
    made$fsn <- quietly(train(donors(), y = y, x = X, fsn = tempfile(fileext = ".fsn"), weight = "weight",
                              hyper = FAST, refits = 0, seed = 1))
  }
  made$fsn
}

# Through Python and back.
echo <- function(data, needed = NULL, most = NULL) {
  reticulate::py_run_string("
from fusionpy.bridge import calls
calls.CALLS['echo'] = lambda arguments, frames, model: calls.Reply(frames={'frame': frames['data']})
calls.CALLS['fail'] = lambda arguments, frames, model: 1 / 0
")
  ask("echo", list(), list(data = send(data, needed)))$frame
}

# Sessions of their own, in which the package is loaded anew: what the code printed.
session <- function(..., env = character()) {
  script <- tempfile(fileext = ".R")
  writeLines(c(sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")), ...), script)
  rscript <- file.path(R.home("bin"), "Rscript")
  env <- c(env, if (!any(startsWith(env, "FUSIONPY_CACHE"))) paste0("FUSIONPY_CACHE=", tempfile("cache")))
  suppressWarnings(system2(rscript, c("--vanilla", shQuote(script)), stdout = TRUE, stderr = TRUE, env = env))
}
