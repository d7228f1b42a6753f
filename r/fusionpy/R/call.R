# Python is asked, followed while it works, and its answer read.

WAIT <- 0.1 # seconds between looks at what it is doing
EVERY <- 15 # seconds between the lines of a log

# Ask Python for a verb: its value, and its frames as data.tables. `frames` are functions of a parcel, paths or NULL.
ask <- function(verb, arguments, frames = list(), opened = NULL) {
  force(frames)
  the$verb <- attr(arguments, "context")
  parcel <- new_parcel()
  told <- lapply(frames, function(frame) if (is.function(frame)) frame(parcel) else frame)
  request <- list(verb = jsonlite::unbox(verb), arguments = as_object(c(arguments)), frames = as_object(told))
  job <- connect()$Job(to_json(request), parcel$buffers, opened$job)
  rm(parcel, told)
  on.exit(stop_job(job))
  follow(job)
  reply <- from_json(reticulate::py_to_r(job$reply()))
  for (text in as.character(reply$warnings)) caution(text)
  if (reply$status == "interrupted") raise("interrupted", "Interrupted: nothing was written.")
  if (reply$status == "failed") raise(reply$class, reply$headline, reply$problems, reply$hint)
  frames <- lapply(stats::setNames(nm = names(reply$frames)), function(name) {
    unpack_frame(job, name, reply$frames[[name]])
  })
  c(reply$value, frames, list(job = job))
}

# A model that is read once for the calls that follow: `job`, and names of `predictors`, `outcomes` and what is `needed` of recipients.
open_model <- function(arguments) {
  ask("open", structure(arguments["fsn"], context = attr(arguments, "context")))
}

# Show messages and progress until the work is done. R can be interrupted meanwhile.
follow <- function(job) {
  shows <- progress_shower()
  repeat {
    state <- from_json(reticulate::py_to_r(job$wait(WAIT)))
    for (each in state$said) if (is.null(each$text)) shows(each) else say(each$text)
    if (state$done) return(invisible())
  }
}

# A function that shows how far the work is: a bar in a terminal, lines in a log.
progress_shower <- function(dynamic = cli::is_dynamic_tty()) {
  began <- said <- Sys.time()
  bar <- title <- NULL
  owner <- parent.frame()
  function(state) {
    if (dynamic) {
      if (!identical(title, state$title)) {
        title <<- state$title
        bar <<- cli::cli_progress_bar(title, total = state$total, .envir = owner, clear = TRUE)
      }
      cli::cli_progress_update(set = state$done, id = bar, .envir = owner)
    } else if (state$done == state$total || Sys.time() - said > EVERY) {
      said <<- Sys.time()
      seconds <- round(as.numeric(said - began, units = "secs"))
      say(sprintf("%s: %d/%d (%d s) %s", state$title, state$done, state$total, seconds, state$doing))
    }
  }
}

# If the work goes on, as after an interrupt, stop it: the piece in hand is waited for.
stop_job <- function(job) {
  is_done <- function(seconds) from_json(reticulate::py_to_r(job$wait(seconds)))$done
  if (is_done(0)) return(invisible())
  say("Stopping, as soon as the piece in hand is done.")
  job$cancel()
  while (!is_done(0.5)) next
}

to_json <- function(value) {
  enc2utf8(as.character(jsonlite::toJSON(value, json_verbatim = TRUE, null = "null")))
}

from_json <- function(text) {
  jsonlite::parse_json(text, simplifyVector = TRUE, simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
}

# A list that JSON has as an object, even if it is empty.
as_object <- function(values) {
  if (length(values)) values else structure(list(), names = character())
}
