# Columns to Python and back, as raw buffers of what R has in memory. Nothing goes through reticulate's conversions of
# vectors, which lose missing values. `fusionpy/bridge/columns.py` is the other side.

MOST_ROWS <- 2^27 # of a piece: its buffer is below 2 GiB
MOST_TEXTS <- 2^20
MOST_GARBAGE <- 2^26 # bytes of copies before R is made to collect them

# Buffers on their way to Python.
new_parcel <- function() {
  parcel <- new.env(parent = emptyenv())
  parcel$buffers <- reticulate::import_builtins(convert = FALSE)$list()
  parcel$n <- 0L
  parcel
}

put <- function(parcel, bytes) {
  parcel$buffers$append(bytes)
  parcel$n <- parcel$n + 1L
  let_go(length(bytes))
  jsonlite::unbox(parcel$n - 1L)
}

# R keeps what is no longer used until it collects it, and does not know how much of it Python holds.
let_go <- function(bytes) {
  the$garbage <- the$garbage + bytes
  if (the$garbage < MOST_GARBAGE) return(invisible())
  the$garbage <- 0
  gc(verbose = FALSE, full = FALSE)
  invisible()
}

# A frame for `ask()`: the columns that are needed are packed, of the others only the names go, so that errors can ask
# whether one of them is meant. Paths go as they are.
send <- function(data, needed = NULL) {
  if (is.null(data)) return(NULL)
  if (!is.data.frame(data)) return(path(data))
  function(parcel) pack_frame(data, needed, parcel)
}

# Names of the columns of numbers, factors, characters and logicals; NULL if it is not a frame.
comparable <- function(data) {
  if (!is.data.frame(data)) return(NULL)
  kinds <- lapply(seq_along(data), function(j) kind_of(data[[j]]))
  names(data)[kinds %in% c("logical", "integer", "double", "integer64", "character", "factor", "ordered")]
}

send_vector <- function(x) {
  if (is.null(x)) NULL else function(parcel) pack_frame(list(value = x), NULL, parcel, length(x))
}

pack_frame <- function(data, needed, parcel, n = nrow(data)) {
  names <- enc2utf8(names(data))
  columns <- lapply(seq_along(names), function(j) {
    if (!is.null(needed) && !(names[j] %in% needed)) return(list(kind = jsonlite::unbox("absent")))
    pack_column(data[[j]], names[j], parcel)
  })
  columns <- Map(function(column, name) c(list(name = jsonlite::unbox(name)), column), columns, names)
  list(rows = jsonlite::unbox(n), columns = unname(columns))
}

pack_column <- function(x, name, parcel, most = MOST_ROWS) {
  kind <- kind_of(x)
  if (is.null(kind)) refuse_column(name, x)
  told <- list(kind = jsonlite::unbox(kind))
  if (kind %in% c("factor", "ordered")) told$levels <- pack_texts(levels(x), name, parcel)
  if (kind %in% c("POSIXct", "integer POSIXct")) told$zone <- jsonlite::unbox(attr(x, "tzone")[1])
  if (kind == "character") {
    told$pieces <- in_pieces(x, min(most, MOST_TEXTS), function(piece) pack_texts(piece, name, parcel))
  } else {
    told$pieces <- in_pieces(x, most, function(piece) {
      list(rows = jsonlite::unbox(length(piece)), buffer = put(parcel, writeBin(piece, raw())))
    })
  }
  told
}

# What Python calls a column's class; NULL if it cannot be sent.
kind_of <- function(x) {
  if (!is.atomic(x) || is.null(x) || !is.null(dim(x))) return(NULL)
  class <- setdiff(class(x), c("AsIs", "noquote"))
  stored <- typeof(x)
  if (is.factor(x)) return(if (stored != "integer") NULL else if (is.ordered(x)) "ordered" else "factor")
  if (!is.object(x) || identical(oldClass(x), "AsIs")) {
    return(if (stored %in% c("logical", "integer", "double", "character")) stored else NULL)
  }
  if ("integer64" %in% class) return("integer64")
  if ("nanotime" %in% class) return("nanotime")
  prefix <- c(integer = "integer ", double = "")[stored]
  if (is.na(prefix)) return(NULL)
  if ("Date" %in% class) return(if (stored == "integer") "IDate" else "Date")
  if ("POSIXct" %in% class) return(paste0(prefix, "POSIXct"))
  if ("ITime" %in% class) return(paste0(prefix, "ITime"))
  if ("difftime" %in% class && attr(x, "units") != "weeks") return(paste0(prefix, "difftime ", attr(x, "units")))
  NULL
}

refuse_column <- function(name, x) {
  held <- if (is.list(x)) "a list" else if (!is.null(dim(x))) "a matrix" else paste0("of class '", class(x)[1], "'")
  wanted <- "only numbers, factors, characters, logicals, dates and times can be."
  raise("schema", "A column cannot be used.", paste0("`", name, "`: ", held, "; ", wanted), "Recode it, or leave it out.")
}

# Plain vectors of at most `most` values each, packed one after the other.
in_pieces <- function(x, most, pack) {
  n <- length(x)
  x <- as.vector(unclass_plain(x))
  if (n <= most) return(list(pack(x)))
  lapply(seq(1, n, by = most), function(first) pack(x[first:min(n, first + most - 1)]))
}

unclass_plain <- function(x) {
  if (is.object(x)) attributes(x) <- NULL
  x
}

# Texts that end with a zero byte each, and the places of those that are NA.
pack_texts <- function(x, name, parcel) {
  x <- enc2utf8(as.vector(x))
  valid <- validUTF8(x)
  if (!all(valid)) {
    problem <- paste0("`", name, "`: ", sum(!valid), " texts that are not valid in their encoding.")
    raise("schema", "A column cannot be used.", problem, "Set it: `Encoding(x) <- \"latin1\"`, for instance.")
  }
  told <- list(rows = jsonlite::unbox(length(x)), buffer = put(parcel, writeBin(x, raw())))
  if (anyNA(x)) told$missing <- put(parcel, writeBin(which(is.na(x)) - 1L, raw()))
  told
}

# A frame of a finished job, as a data.table: one column after the other, so that each is held once.
unpack_frame <- function(job, name, told) {
  columns <- lapply(seq_along(told$columns), function(j) {
    column <- from_json(reticulate::py_to_r(job$pack(name, j - 1L)))
    if (column$status == "failed") raise(column$class, column$headline, column$problems, column$hint)
    unpack_column(job, column)
  })
  names(columns) <- vapply(told$columns, function(column) column$name, "")
  setDT(columns)
  columns[]
}

unpack_column <- function(job, told) {
  take <- function(place) {
    bytes <- reticulate::py_to_r(job$take(place))
    job$drop(place)
    let_go(length(bytes))
    bytes
  }
  if (told$kind == "character") {
    pieces <- lapply(told$pieces, unpack_texts, take)
  } else {
    what <- if (stored_as(told$kind) == "integer") "integer" else "double"
    pieces <- lapply(told$pieces, function(piece) readBin(take(piece$buffer), what, piece$rows))
  }
  values <- if (length(pieces) == 1) pieces[[1]] else do.call(c, pieces)
  as_kind(values, told, take)
}

unpack_texts <- function(piece, take) {
  values <- readBin(take(piece$buffer), "character", piece$rows)
  Encoding(values) <- "UTF-8"
  if (!is.null(piece$missing)) {
    places <- take(piece$missing)
    values[readBin(places, "integer", length(places) / 4) + 1L] <- NA_character_
  }
  values
}

stored_as <- function(kind) {
  integers <- c("integer", "logical", "factor", "ordered", "IDate")
  if (kind %in% integers || startsWith(kind, "integer ")) "integer" else "double"
}

# Give plain values their class.
as_kind <- function(values, told, take) {
  kind <- told$kind
  if (kind == "logical") return(as.logical(values))
  if (kind %in% c("factor", "ordered")) {
    attributes(values) <- list(levels = unpack_texts(told$levels, take),
                               class = c(if (kind == "ordered") "ordered", "factor"))
    return(values)
  }
  if (endsWith(kind, "POSIXct")) {
    attributes(values) <- list(class = c("POSIXct", "POSIXt"), tzone = told$zone)
    return(values)
  }
  if (grepl("difftime", kind)) {
    attributes(values) <- list(class = "difftime", units = sub(".*difftime ", "", kind))
    return(values)
  }
  class <- list(IDate = c("IDate", "Date"), Date = "Date", integer64 = "integer64", nanotime = "nanotime",
                ITime = "ITime", "integer ITime" = "ITime")[[kind]]
  if (!is.null(class)) oldClass(values) <- class
  values
}
