package warehouse

// Reasons of discards that warehouses give, beside those of package event. They are the same in every kind of warehouse; which can
// come up depends on the engine.
const (
	ReasonNUL       = "nul_character"       // U+0000, which the engine's texts cannot hold
	ReasonNotUTF8   = "not_utf8"            // no text; the discards hold it quoted
	ReasonTooLong   = "too_long"            // more than the column can grow to
	ReasonRange     = "out_of_range"        // beyond what the engine's type holds
	ReasonNoFit     = "does_not_fit"        // somebody else's column would change the value, or refuses it
	ReasonForeign   = "foreign_column_type" // somebody else's column, of a type that nothing of ours goes into
	ReasonGenerated = "generated_column"    // somebody else's column that fills itself
	ReasonCharset   = "character_set"       // somebody else's column has no such character
	ReasonRow       = "row_too_large"       // the values of a row before it fill what the engine gives a row
	ReasonInexact   = "rounded_by_widening" // an integer that was stored before its column became one of floats
)
