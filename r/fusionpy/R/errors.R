# Errors as classed conditions, with the problems as data; messages through cli.

MOST_LINES <- 8

raise <- function(class, headline, problems = character(), hint = NULL, verb = the$verb) {
  problems <- as.character(problems)
  lines <- c(headline, paste("x", utils::head(problems, MOST_LINES), recycle0 = TRUE))
  if (length(problems) > MOST_LINES) lines <- c(lines, paste("x ... and", length(problems) - MOST_LINES, "more."))
  if (length(hint)) lines <- c(lines, paste("i", hint))
  condition <- structure(
    class = c(paste0("fusionpy_", class, "_error"), "fusionpy_error", "error", "condition"),
    list(message = paste(format_bullets(lines), collapse = "\n"), call = verb$call, headline = headline,
         problems = problems, hint = hint, argument = named_in(c(headline, problems), verb$formals))
  )
  stop(condition)
}

# Lines as cli would show them: a bullet before each problem and hint.
format_bullets <- function(lines) {
  lines <- sub("^x ", paste0(cli::col_red(cli::symbol$cross), " "), lines)
  sub("^i ", paste0(cli::col_cyan(cli::symbol$info), " "), lines)
}

# Names of arguments that a text has in backticks.
named_in <- function(texts, known) {
  found <- unlist(regmatches(texts, gregexpr("(?<=`)[^`]+(?=`)", texts, perl = TRUE)))
  intersect(found, known)
}

caution <- function(text) {
  warning(structure(class = c("fusionpy_warning", "warning", "condition"), list(message = text, call = NULL)))
}

say <- function(text) {
  cli::cli_alert_info("{text}")
}

# A value as it was given, on part of a line.
shown <- function(value) {
  if (is.data.frame(value)) return("a data frame")
  if (is.function(value)) return("a function")
  if (is.environment(value) || isS4(value)) return(paste("a", class(value)[1]))
  text <- paste(deparse(value, width.cutoff = 60L, nlines = 1), collapse = " ")
  if (nchar(text) > 40) paste0(substr(text, 1, 37), "...") else text
}
