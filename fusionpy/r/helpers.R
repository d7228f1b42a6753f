# What fusionpy asks of R, as a list of functions. Columns are looked at without their class, so that no
# method of it is called.
list(
  # The facts of a data frame that decide how its columns are read.
  facts = function(frame) {
    names <- attr(frame, "names", exact = TRUE)
    frame <- unclass(frame)
    list(
      names = if (is.null(names)) character() else names,
      n_rows = as.double(.row_names_info(structure(list(), row.names = attr(frame, "row.names")), 2L)),
      columns = lapply(seq_along(frame), function(i) {
        x <- .subset2(frame, i)
        units <- attr(x, "units", exact = TRUE)
        zone <- attr(x, "tzone", exact = TRUE)
        list(
          typeof(x),
          as.double(length(unclass(x))),
          as.character(attr(x, "class", exact = TRUE)),
          is.null(attr(x, "dim", exact = TRUE)),
          if (is.character(units)) units[1L] else "",
          if (is.character(zone)) zone[1L] else NULL
        )
      })
    )
  },

  column = function(frame, i) .subset2(frame, i),

  # A time in parts (POSIXlt) as a number.
  counted_time = function(x) as.POSIXct(x),

  row_names = function(frame) row.names(frame),

  levels = function(x) attr(x, "levels", exact = TRUE),

  # Text as codes of its distinct values, and these one after the other, each ended by a zero byte.
  take_text = function(x) {
    attributes(x) <- NULL
    tryCatch({
      distinct <- unique(enc2utf8(x[!is.na(x)]))
      if (!all(validUTF8(distinct))) return(NULL)
      list(match(enc2utf8(x), distinct), writeBin(distinct, raw(), useBytes = TRUE))
    }, error = function(condition) NULL)
  },

  give_text = function(codes, bytes, n) {
    distinct <- readBin(bytes, "character", n)
    Encoding(distinct) <- "UTF-8"
    distinct[codes]
  },

  allocate = function(type, n) vector(type, n),

  with_attributes = function(x, attributes) {
    for (name in names(attributes)) attr(x, name) <- attributes[[name]]
    x
  },

  as_frame = function(columns, names, n) {
    structure(columns, names = names, row.names = .set_row_names(n), class = "data.frame")
  },

  named = function(values, names) structure(values, names = names),

  # What is wrong with a file is told as text.
  read_rds = function(path) {
    tryCatch(list(suppressWarnings(suppressMessages(readRDS(path)))), error = conditionMessage)
  },

  read_rda = function(path) {
    tryCatch({
      found <- new.env(parent = emptyenv())
      names <- suppressWarnings(suppressMessages(load(path, found)))
      list(names, lapply(names, function(name) get(name, envir = found, inherits = FALSE)))
    }, error = conditionMessage)
  },

  is_frame = function(x) is.list(x) && inherits(x, "data.frame"),

  # What an object is, for people.
  kind = function(x) paste(class(x), collapse = ", "),

  save_rds = function(x, path) saveRDS(x, path)
)
