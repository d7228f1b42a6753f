# How many threads a verb uses that was not told: the option of the original, `fusionModel.cores`.

CORES <- "fusionModel.cores"

# What loading sets it to, unless it is set: as many as there are, but one.
set_cores <- function() {
  if (!is.null(getOption(CORES))) return(invisible())
  the$cores <- as.integer(max(1, parallel::detectCores(logical = FALSE) - 1, na.rm = TRUE))
  options(stats::setNames(list(the$cores), CORES))
}

# The option, if it was set by whoever uses the package; else what the verb's own default says, and one at least.
default_cores <- function(of_verb) {
  asked <- getOption(CORES)
  if (is.null(asked) || identical(asked, the$cores)) return(max(1, of_verb, na.rm = TRUE))
  is_count <- is.numeric(asked) && length(asked) == 1 && is.finite(asked) && asked >= 1 && asked == floor(asked)
  if (is_count) return(asked)
  wrong(paste0("Option `", CORES, "`, the default of `cores`, must be a whole number of at least 1, not ", shown(asked), "."))
}
