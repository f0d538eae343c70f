package name

// rudderSnake is RudderStack's snake case: the runs of ASCII letters and digits of s, split into words, joined with underscores
// and lower-cased. Underscores that s begins with are kept when keepLeading is set. With divide, digits are words of their own
// (RudderStack's underscoreDivideNumbers, the older destinations).
func rudderSnake(s string, divide, keepLeading bool) string {
	dst := make([]byte, 0, len(s)+8)
	if keepLeading {
		for len(dst) < len(s) && s[len(dst)] == '_' {
			dst = append(dst, '_')
		}
	}
	first := true
	for i := len(dst); i < len(s); {
		if !isWord(s[i]) {
			i++
			continue
		}
		if !first {
			dst = append(dst, '_')
		}
		first = false
		end := wordEnd(s, i)
		if divide {
			end = dividedWordEnd(s, i)
		}
		for ; i < end; i++ {
			dst = append(dst, lower(s[i]))
		}
	}
	return string(dst)
}

// wordEnd finds the end of the word at s[i], which is a letter or a digit: the first that matches of
// [A-Z]?[a-z]+[0-9]+, [A-Z]+[0-9]+, [0-9]+[A-Z]?[a-z]+, [0-9]+[A-Z]+, [A-Z]?[a-z]+, [A-Z]+ not before a lower-case letter,
// [A-Z]+, [0-9]+.
func wordEnd(s string, i int) int {
	if isDigit(s[i]) {
		digits := run(s, i, isDigit)
		if end := capitalised(s, digits); end > digits {
			return end
		}
		return run(s, digits, isUpper)
	}
	if end := capitalised(s, i); end > i {
		return run(s, end, isDigit)
	}
	upper := run(s, i, isUpper)
	if digits := run(s, upper, isDigit); digits > upper {
		return digits
	}
	if upper < len(s) && isLower(s[upper]) && upper-1 > i {
		return upper - 1
	}
	return upper
}

// dividedWordEnd finds the end of the word at s[i] where digits stand alone: the first that matches of [A-Z]?[a-z]+ before a
// capital or a gap, [A-Z]+ before a capitalised word or a gap, [A-Z]?[a-z]+, [A-Z]+, an ordinal such as 1ST or 2nd at the end of a
// word, [0-9]+.
func dividedWordEnd(s string, i int) int {
	if isDigit(s[i]) {
		digits := run(s, i, isDigit)
		return ordinal(s, digits)
	}
	if end := capitalised(s, i); end > i {
		return end
	}
	upper := run(s, i, isUpper)
	if upper < len(s) && isLower(s[upper]) && upper-1 > i {
		return upper - 1
	}
	return upper
}

// ordinal returns the end of the ordinal suffix that follows the digits ending at s[digits], or digits when there is none.
func ordinal(s string, digits int) int {
	if digits+2 > len(s) {
		return digits
	}
	var want string
	switch s[digits-1] {
	case '1':
		want = "st"
	case '2':
		want = "nd"
	case '3':
		want = "rd"
	default:
		want = "th"
	}
	end := digits + 2
	a, b := s[digits], s[digits+1]
	if lower(a) != want[0] || lower(b) != want[1] || isUpper(a) != isUpper(b) {
		return digits
	}
	switch {
	case end == len(s) || !isWord(s[end]):
		return end
	case isUpper(a) && isLower(s[end]), isLower(a) && isUpper(s[end]):
		return end
	}
	return digits
}

// capitalised returns the end of [A-Z]?[a-z]+ at s[i], or i.
func capitalised(s string, i int) int {
	start := i
	if i < len(s) && isUpper(s[i]) {
		i++
	}
	if end := run(s, i, isLower); end > i {
		return end
	}
	return start
}

// run returns the index of the first byte from i on that is not in the class.
func run(s string, i int, class func(byte) bool) int {
	for i < len(s) && class(s[i]) {
		i++
	}
	return i
}
