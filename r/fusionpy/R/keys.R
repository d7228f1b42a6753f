# Keys of data.tables: which columns they are, and whether rows really are in their order. A key that is set where rows
# are not sorted makes joins wrong in silence, so none is set that was not looked at.

# Those columns of `data`'s key that are retained, in the order of `retain`.
kept_key <- function(data, retain) {
  intersect(retain, if (inherits(data, "data.table")) data.table::key(data))
}

# Rows in the order of some columns, as setkey() would sort them (NA first, texts by their bytes); NULL if they are in
# that order already. Columns are not copied.
order_by <- function(table, names) {
  if (!length(names)) return(NULL)
  table <- columns_of(table, names)
  data.table::setnames(table, paste0("V", seq_along(names))) # whatever they are called: these are looked for in `i`
  by <- as.call(c(quote(order), lapply(names(table), as.name), na.last = FALSE))
  rows <- eval(as.call(list(as.name("["), table, by, which = TRUE)))
  if (is.unsorted(rows)) rows else NULL
}

# Set a key, if rows are in its order; else as much of its beginning as they are in the order of.
set_key <- function(table, names) {
  while (length(names) && !is.null(order_by(table, names))) names <- utils::head(names, -1)
  if (length(names)) setattr(table, "sorted", names)
  table[]
}
