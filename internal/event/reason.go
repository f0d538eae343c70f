package event

// Reasons of dead letters, and codes of refused requests. They are stable: dashboards group by them.
const (
	// Whole requests, answered with 400, 401, 408 or 429.
	ReasonMalformedJSON   = "malformed_json"    // not strict JSON, or nested deeper than 10,000 levels
	ReasonNotObject       = "not_an_object"     // the body, or an item of a batch, is not a JSON object
	ReasonMissingBatch    = "missing_batch"     // a batch route without an array called batch
	ReasonBodyTooLarge    = "body_too_large"    // over the limit of a body, before or after decompression
	ReasonBadEncoding     = "bad_encoding"      // Content-Encoding unknown, or the compressed stream is broken
	ReasonBodyIncomplete  = "body_incomplete"   // the connection ended before the body did
	ReasonBodyTimeout     = "body_timeout"      // the body did not arrive in time
	ReasonMissingWriteKey = "missing_write_key" // no write key in any of its places
	ReasonUnknownWriteKey = "unknown_write_key" // a write key that no source has
	ReasonRateLimited     = "rate_limited"      // over the source's limit
	ReasonBadPixel        = "bad_pixel"         // a pixel whose data cannot be read

	// Single calls.
	ReasonEventTooLarge      = "event_too_large"      // over the limit of one event
	ReasonBatchTooLong       = "batch_too_long"       // the items of a batch beyond the limit of items
	ReasonMissingType        = "missing_type"         // an item of a batch without type
	ReasonUnknownType        = "unknown_type"         // a type that is none of the six
	ReasonMissingEvent       = "missing_event"        // track without an event name
	ReasonNoUserAnonID       = "no_user_anon_id"      // neither userId nor anonymousId
	ReasonMissingGroupID     = "missing_group_id"     // group without groupId
	ReasonMissingUserID      = "missing_user_id"      // alias without userId
	ReasonMissingPreviousID  = "missing_previous_id"  // alias without previousId
	ReasonMessageIDTooLong   = "message_id_too_long"  // messageId of more than 100 characters
	ReasonInvalidMessageID   = "invalid_message_id"   // messageId is an object or an array
	ReasonInvalidEvent       = "invalid_event"        // event is an object or an array
	ReasonInvalidUserID      = "invalid_user_id"      // userId is an object or an array
	ReasonInvalidAnonymousID = "invalid_anonymous_id" // anonymousId is an object or an array

	// Notes about calls that were kept: the dead letter stands beside the row and shows what was replaced or left out.
	ReasonInvalidUTF8 = "invalid_utf8" // bytes that are not UTF-8, or half a surrogate pair: U+FFFD stands in their place
	ReasonInvalidTime = "invalid_time" // timestamp, originalTimestamp or sentAt that is not ISO-8601: taken as absent
)

// Reasons returns every reason, in the order of the documentation.
func Reasons() []string {
	return []string{
		ReasonMalformedJSON, ReasonNotObject, ReasonMissingBatch, ReasonBodyTooLarge, ReasonBadEncoding, ReasonBodyIncomplete,
		ReasonBodyTimeout, ReasonMissingWriteKey, ReasonUnknownWriteKey, ReasonRateLimited, ReasonBadPixel,
		ReasonEventTooLarge, ReasonBatchTooLong, ReasonMissingType, ReasonUnknownType, ReasonMissingEvent, ReasonNoUserAnonID,
		ReasonMissingGroupID, ReasonMissingUserID, ReasonMissingPreviousID, ReasonMessageIDTooLong, ReasonInvalidMessageID,
		ReasonInvalidEvent, ReasonInvalidUserID, ReasonInvalidAnonymousID, ReasonInvalidUTF8, ReasonInvalidTime,
	}
}

// Kept tells whether a dead letter of this reason stands beside a call that was stored, rather than in its place.
func Kept(reason string) bool { return reason == ReasonInvalidUTF8 || reason == ReasonInvalidTime }
