-- The texts of the runs.
SELECT id, notices, coalesce(error, ''), coalesce(hint, '') FROM _firth.runs
