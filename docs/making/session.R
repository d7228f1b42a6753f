# A process of R that runs cells: it reads their files' names from its input, one a line, runs NAME.R in the global
# environment and writes what came of it to NAME.json.

options(
  width = 100, digits = 7, warn = 1, crayon.enabled = FALSE, cli.num_colors = 1L, cli.unicode = TRUE,
  device = function(...) grDevices::pdf(NULL, ...)
)
size <- c(width = 7, height = 4.5) # of a picture, inches
resolution <- 96 # of the page, pixels an inch

# Cells must not see this file's names.
local({
  told <- function(kind, text) list(kind = kind, text = paste0(text, collapse = "\n"))

  draw <- function(plot, file) {
    grDevices::png(file, size[["width"]], size[["height"]], units = "in", res = 2 * resolution)
    on.exit(grDevices::dev.off())
    grDevices::replayPlot(plot)
    list(kind = "picture", file = file, width = size[["width"]] * resolution, height = size[["height"]] * resolution)
  }

  run <- function(job) {
    outputs <- list()
    line <- 1L
    pictures <- 0L
    parts <- evaluate::evaluate(
      file(paste0(job, ".R"), encoding = "UTF-8"), envir = globalenv(), new_device = TRUE, stop_on_error = 1L,
      keep_warning = TRUE, keep_message = TRUE
    )
    for (part in parts) {
      output <- if (inherits(part, "source")) {
        current <- line
        line <- line + max(1L, length(strsplit(part$src, "\n", fixed = TRUE)[[1]]))
        NULL
      } else if (inherits(part, "error")) {
        call <- conditionCall(part)
        where <- if (is.null(call)) "" else paste0(" in ", paste(deparse(call)[1], collapse = ""))
        c(told("error", paste0("Error", where, ": ", conditionMessage(part))), line = current)
      } else if (inherits(part, "warning")) {
        told("text", paste0("Warning: ", conditionMessage(part), "\n"))
      } else if (inherits(part, "message")) {
        told("message", conditionMessage(part))
      } else if (inherits(part, "recordedplot")) {
        pictures <- pictures + 1L
        draw(part, paste0(job, "-", pictures, ".png"))
      } else if (is.character(part)) {
        told("text", part)
      }
      if (!is.null(output)) outputs[[length(outputs) + 1L]] <- output
    }
    jsonlite::toJSON(outputs, auto_unbox = TRUE)
  }

  input <- file("stdin")
  open(input)
  while (length(job <- readLines(input, 1L))) {
    answer <- run(job)
    # Written aside, so that it is never read half-written.
    writeLines(enc2utf8(answer), paste0(job, ".part"), useBytes = TRUE)
    file.rename(paste0(job, ".part"), paste0(job, ".json"))
  }
})
