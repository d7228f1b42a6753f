# One archive as R sees it, by the description of the format alone: types, shapes, and one draw worked out by hand.
# Arguments: folder with the unzipped archive, folder for the numbers, "golden" archive's metadata (or "").
args <- commandArgs(TRUE)
m <- readRDS(file.path(args[1], "metadata.rds"))

entries <- c("xclass", "xlevels", "yclass", "ylevels", "ylist", "ytype", "ptiles", "dnames", "nobs", "timing",
  "version", "call", "xpreds", "ycenter", "yscale", "kcenters", "kneighbors", "cluster_mean_r2", "hyper_results")
stopifnot(is.list(m), identical(names(m), entries), identical(names(attributes(m)), "names"))

y <- unlist(m$ylist)
x <- names(m$xclass)
steps <- length(m$ylist)
texts <- function(v) all(vapply(v, is.character, NA))
stopifnot(
  texts(m$xclass), texts(m$xlevels), texts(m$yclass), texts(m$ylevels), texts(m$ylist), texts(m$xpreds),
  is.null(names(m$ylist)), identical(names(m$yclass), y), identical(names(m$ytype), y),
  all(m$ytype %in% c("continuous", "multiclass", "binary")),
  is.double(m$ptiles), all(m$ptiles > 0 & m$ptiles < 1),
  identical(m$dnames, c(x, y)),
  is.integer(m$nobs), length(m$nobs) == 1,
  inherits(m$timing, "difftime"), is.double(unclass(m$timing)), is.character(units(m$timing)),
  identical(names(m$version), c("fusionModel", "R")),
  inherits(m$version$fusionModel, "package_version"), m$version$fusionModel >= "2.4.0",
  inherits(m$version$R, "R_system_version"), m$version$R >= "4",
  is.call(m$call), identical(m$call[[1]], as.name("train")),
  vapply(m[c("xpreds", "ycenter", "yscale", "kcenters", "kneighbors", "cluster_mean_r2", "hyper_results")],
    function(v) is.list(v) && length(v) == steps && is.null(names(v)), NA)
)
classes <- list("integer", "numeric", "logical", "factor", c("ordered", "factor"))
stopifnot(vapply(c(m$xclass, m$yclass), function(k) any(vapply(classes, identical, NA, k)), NA))
factors <- function(k) names(Filter(function(v) "factor" %in% v, k))
stopifnot(setequal(names(m$xlevels), factors(m$xclass)), setequal(names(m$ylevels), factors(m$yclass)))

# R takes every folder that holds a file for a step, sorted as text: only the steps' may be there.
folders <- formatC(seq_len(steps), width = nchar(steps), flag = "0")
held <- unique(dirname(list.files(args[1], recursive = TRUE, all.files = TRUE)))
stopifnot(identical(sort(setdiff(held, ".")), folders))
known <- x
for (i in seq_len(steps)) {
  vars <- m$ylist[[i]]
  stopifnot(m$xpreds[[i]] %in% known)
  known <- c(known, vars)
  solo <- length(vars) == 1
  stopifnot(file.exists(file.path(args[1], folders[i], paste0(vars, "_m.txt"))))
  kinds <- names(m$hyper_results[[i]])
  for (grid in m$hyper_results[[i]]) {
    stopifnot(is.data.frame(grid), is.factor(grid$boosting), is.double(grid$num_leaves), is.double(grid$best_score),
      is.integer(grid$best_iter), is.logical(grid$final_model), sum(grid$final_model) == 1,
      tail(names(grid), 3) == c("best_score", "best_iter", "final_model"))
  }
  if (solo && m$ytype[[vars]] != "continuous") {
    stopifnot(is.null(m$kcenters[[i]]), is.null(m$kneighbors[[i]]), is.null(m$ycenter[[i]]),
      is.null(m$yscale[[i]]), is.null(m$cluster_mean_r2[[i]]), identical(kinds, "m"))
    next
  }
  columns <- character()
  for (v in vars) {
    zero <- file.exists(file.path(args[1], folders[i], paste0(v, "_z.txt")))
    if (zero && !solo) columns <- c(columns, paste0(v, "_z"))
    n <- if (m$ytype[[v]] == "multiclass") length(m$ylevels[[v]]) else 1
    columns <- c(columns, paste0(v, "_m", seq_len(n)))
    if (m$ytype[[v]] == "continuous") columns <- c(columns, paste0(v, "_q", seq_along(m$ptiles)))
  }
  k <- m$kneighbors[[i]]
  sizes <- rowSums(!is.na(k))
  stopifnot(
    is.double(m$ycenter[[i]]), is.double(m$yscale[[i]]), !is.nan(m$ycenter[[i]]),
    identical(names(m$ycenter[[i]]), columns), identical(names(m$yscale[[i]]), columns),
    is.matrix(m$kcenters[[i]]), is.double(m$kcenters[[i]]), identical(colnames(m$kcenters[[i]]), columns),
    is.matrix(k), is.integer(k), is.null(dimnames(k)), nrow(k) == nrow(m$kcenters[[i]]),
    all(k >= 1 & k <= m$nobs, na.rm = TRUE), sizes >= 1, max(sizes) == ncol(k),
    !is.na(k) == (col(k) <= sizes),
    if (solo) is.double(m$cluster_mean_r2[[i]]) else is.null(m$cluster_mean_r2[[i]]),
    solo || ncol(k) == min(30, m$nobs)
  )
}

# One step's draw by the description: scale the expectations, nearest centre, donor by weight, its value.
e <- read.csv(file.path(args[2], "expectations.csv"))
donor <- read.csv(file.path(args[2], "donor.csv"))
u <- scan(file.path(args[2], "uniforms.txt"), quiet = TRUE)
i <- scan(file.path(args[2], "step.txt"), quiet = TRUE)
kblock <- 10
z <- sapply(colnames(m$kcenters[[i]]), function(column) {
  centre <- m$ycenter[[i]][[column]]
  scale <- m$yscale[[i]][[column]]
  if (is.na(centre)) e[[column]] else ((e[[column]] - centre) / scale - qnorm(.001)) / (2 * qnorm(.999))
})
drawn <- sapply(seq_len(nrow(e)), function(r) {
  distance <- colSums((t(m$kcenters[[i]]) - z[r, ])^2)
  pool <- m$kneighbors[[i]][which.min(distance), ]
  pool <- if (length(m$ylist[[i]]) > 1) pool[seq_len(kblock)] else pool[!is.na(pool)]
  total <- cumsum(donor$W[pool])
  pool[which(total / total[length(total)] > u[r])[1]]
})
write.csv(donor[drawn, m$ylist[[i]], drop = FALSE], file.path(args[2], "drawn.csv"), row.names = FALSE)
