# What the original answered (shared/reference/original), and how an answer of ours is held against it.

shared_file <- function(...) file.path(Sys.getenv("FUSIONPY_SHARED", "/work/shared"), ...)

skip_without_shared <- function() {
  testthat::skip_if_not(dir.exists(shared_file("reference", "original")), "The shared reference results are absent:")
}

# structures.json: a list of functions, of calls, of what came of them.
structures <- function(group) {
  if (is.null(made$structures)) {
    made$structures <- jsonlite::read_json(shared_file("reference", "original", "structures.json"),
                                           simplifyVector = TRUE, simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
  }
  made$structures[[group]]
}

# Names of the calls of one function; what begins with _ is rules.
calls_of <- function(group) grep("^_", names(structures(group)), invert = TRUE, value = TRUE)

# A CSV file of the reference, gzipped or not: an empty field is NA, the text "NA" is text.
read_reference <- function(...) {
  path <- shared_file("reference", ...)
  if (!endsWith(path, ".gz")) return(data.table::fread(path, na.strings = "", data.table = FALSE))
  file <- gzfile(path)
  on.exit(close(file))
  data.table::fread(text = readLines(file), na.strings = "", data.table = FALSE)
}

# RECS 2015 as the original's `recs`: a data.frame. Odd rows are donors, even ones recipients.
recs_all <- function() {
  if (is.null(made$recs)) made$recs <- as.data.frame(read_fsd(shared_file("data", "recs2015.fst")))
  made$recs
}

recs_donors <- function() reset_rows(recs_all()[seq(1, nrow(recs_all()), 2), ])

recs_recipients <- function() reset_rows(recs_all()[seq(2, nrow(recs_all()), 2), ])

reset_rows <- function(frame) {
  rownames(frame) <- NULL
  frame
}

# Implicates of the reference, such as "implicates_readme_donor_M40.csv.gz", the first `M` of them, with the classes
# that their columns have in `recs`: a data.table keyed by M, as fuse() gives it.
reference_implicates <- function(file, M = Inf) {
  if (is.null(made[[file]])) {
    found <- data.table::setDT(read_reference(file))
    for (name in intersect(names(found), names(recs_all()))) {
      data.table::set(found, j = name, value = typed_as(found[[name]], recs_all()[[name]]))
    }
    data.table::setkeyv(found, "M")
    made[[file]] <- found
  }
  rows <- which(made[[file]][["M"]] <= M)
  found <- made[[file]][rows]
  data.table::setattr(found, "sorted", "M")
  found[]
}

typed_as <- function(values, like) {
  if (is.factor(like)) return(factor(values, levels(like), ordered = is.ordered(like)))
  if (is.integer(like) && !is.integer(values)) return(values) # implicates of the original may be double
  values
}

# How a value differs from what structures.json describes (a `result`): a character vector, empty if it does not.
# `head`: whether the first rows are held against it too, to `tolerance`; leave it out for random draws.
structure_differences <- function(value, described, head = FALSE, tolerance = 1e-6, where = "it") {
  at <- function(...) paste0(where, ": ", ...)
  found <- character()
  note <- function(what, mine, theirs) {
    if (!identical(mine, theirs)) found <<- c(found, at(what, " is ", told(mine), ", not ", told(theirs)))
  }
  note("class", class(value), as.character(described$class))
  if (!is.null(described$type)) note("type", typeof(value), described$type)
  if (!is.null(described$length)) note("length", length(value), as.integer(described$length))
  if (!is.null(described$dim)) note("dim", dim(value), as.integer(described$dim))
  if (!is.null(described$names)) note("names", names(value), as.character(described$names))
  if (!is.null(described$type)) found <- c(found, attribute_differences(value, described, where))
  if (!is.null(described$columns)) {
    note("columns", names(value), names(described$columns))
    if (!is.null(described$row_names_default)) note("row_names_default", has_plain_rows(value), described$row_names_default)
    if (inherits(value, "data.table")) note("key", data.table::key(value), as_text(described$key))
    for (name in intersect(names(value), names(described$columns))) {
      found <- c(found, column_differences(value[[name]], described$columns[[name]], paste0(where, "$", name)))
    }
  }
  if (head && !is.null(described$head)) found <- c(found, head_differences(value, described$head, tolerance, where))
  elements <- described$elements
  for (i in seq_along(elements)) {
    place <- if (is.null(names(elements))) i else names(elements)[i]
    inner <- if (is.character(place)) (if (place %in% names(value)) value[[place]]) else if (i <= length(value)) value[[i]]
    found <- c(found, structure_differences(inner, elements[[i]], head, tolerance, paste0(where, "$", place)))
  }
  found
}

# Fails with every difference.
expect_structure <- function(value, described, head = FALSE, tolerance = 1e-6, label = "it") {
  found <- structure_differences(value, described, head, tolerance, label)
  testthat::expect(length(found) == 0, paste(c("The structure is not the original's.", found), collapse = "\n"))
  invisible(value)
}

ORDINARY <- c("names", "row.names", "class", "levels", ".internal.selfref", "index")

# Attributes other than the ordinary ones: those described, and no others.
attribute_differences <- function(value, described, where) {
  theirs <- described$attributes
  mine <- attributes(value)[setdiff(names(attributes(value)), ORDINARY)]
  found <- character()
  for (name in union(names(theirs), names(mine))) {
    if (!identical(as_text(mine[[name]]), as_text(theirs[[name]]))) {
      found <- c(found, paste0(where, ": attribute '", name, "' is ", told(mine[[name]]), ", not ", told(theirs[[name]])))
    }
  }
  found
}

column_differences <- function(column, described, where) {
  mine <- list(class = class(column), type = typeof(column))
  theirs <- list(class = as.character(described$class), type = described$type)
  if (!is.null(described$levels)) {
    mine <- c(mine, list(levels = levels(column), ordered = is.ordered(column)))
    theirs <- c(theirs, list(levels = as.character(described$levels), ordered = described$ordered))
  }
  differs <- !mapply(identical, mine, theirs)
  paste0(where, ": ", names(mine)[differs], " is ", vapply(mine[differs], told, ""), ", not ",
         vapply(theirs[differs], told, ""), recycle0 = TRUE)
}

# In JSON a missing value is the text "NA", or null.
head_differences <- function(value, head, tolerance, where) {
  if (!is.list(head)) head <- list(head)
  mine <- if (is.data.frame(value)) lapply(utils::head(as.data.frame(value), length(head[[1]])), identity) else list(value)
  if (is.data.frame(value)) mine <- mine[names(head)]
  same <- mapply(function(mine, theirs) {
    mine <- utils::head(if (is.factor(mine)) as.character(mine) else mine, length(theirs))
    theirs <- as_text(lapply(theirs, function(each) if (is.null(each)) NA else each))
    theirs[theirs %in% "NA"] <- NA
    if (is.logical(mine)) theirs <- as.logical(theirs)
    if (is.numeric(mine)) theirs <- as.numeric(theirs)
    isTRUE(all.equal(as.vector(mine), as.vector(theirs), tolerance = tolerance)) || all(is.na(mine) & is.na(theirs))
  }, mine, head)
  names <- if (is.null(names(mine))) "value" else names(mine)
  paste0(where, "$", names[!same], ": first values are ", vapply(mine[!same], told, ""), ", not ",
         vapply(head[!same], told, ""), recycle0 = TRUE)
}

has_plain_rows <- function(frame) {
  is.data.frame(frame) && identical(as.character(attr(frame, "row.names")), as.character(seq_len(nrow(frame))))
}

as_text <- function(value) if (is.null(value)) NULL else as.character(unlist(value))

told <- function(value) {
  text <- paste(deparse(value), collapse = " ")
  if (nchar(text) > 200) paste0(substr(text, 1, 197), "...") else text
}

# What a call gives and says, as structures.json has it: value, visible, messages, warnings, lines printed, error.
record <- function(call) {
  said <- list(messages = character(), warnings = character(), error = NULL, value = NULL, visible = FALSE)
  printed <- utils::capture.output({
    answer <- tryCatch(withCallingHandlers(
      withVisible(call),
      message = function(condition) {
        said$messages <<- c(said$messages, conditionMessage(condition))
        invokeRestart("muffleMessage")
      },
      warning = function(condition) {
        said$warnings <<- c(said$warnings, conditionMessage(condition))
        invokeRestart("muffleWarning")
      }
    ), error = identity)
  })
  said$printed <- printed
  if (inherits(answer, "error")) said["error"] <- list(answer) else said[c("value", "visible")] <- answer
  said
}

# Whether a recorded call has a value to look at: it is refused where the original's was, and visible where that was.
expect_answered <- function(mine, told, said) {
  testthat::expect_identical(is.null(mine$error), is.null(told$error), info = said)
  if (!is.null(told$error) || !is.null(mine$error)) {
    testthat::expect_s3_class(mine$error, "fusionpy_error")
    return(FALSE)
  }
  testthat::expect_identical(mine$visible, told$visible, info = said)
  TRUE
}

# A CSV file with the classes that a schema tells.
as_typed <- function(file, schema) {
  frame <- utils::read.csv(gzfile(file), check.names = FALSE, colClasses = "character", na.strings = "")
  told <- jsonlite::read_json(schema, simplifyVector = TRUE)
  for (name in names(frame)) {
    value <- frame[[name]]
    about <- told[[name]]
    frame[[name]] <- if (about$kind %in% c("ordered", "nominal")) {
      factor(value, about$levels, ordered = about$kind == "ordered")
    } else if (about$kind == "logical") {
      value %in% c("TRUE", "True", "true", "1")
    } else if (about$storage == "integer") as.integer(value) else as.numeric(value)
  }
  frame
}
