//! UTF-8 validation that survives the borders of fragments and reads.
//!
//! A text may be cut anywhere, inside a character too. [`Utf8Decoder`] appends what is complete and
//! keeps back the up to three bytes of a character that is not; it refuses as soon as no
//! continuation could make the text valid.

/// The bytes cannot be the beginning of any valid text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text is not valid UTF-8")]
pub struct InvalidUtf8;

/// An incremental decoder from bytes to text.
#[derive(Clone, Debug, Default)]
pub struct Utf8Decoder {
    /// The first bytes of a character whose rest is still to come; `pending_len` of them count, at
    /// most three.
    pending: [u8; 4],
    pending_len: usize,
}

impl Utf8Decoder {
    /// Checks the next bytes and appends the complete characters to `text`.
    ///
    /// # Errors
    /// [`InvalidUtf8`] at the first byte that no continuation can save; the decoder is of no use
    /// afterwards.
    pub fn decode(&mut self, bytes: &[u8], text: &mut String) -> Result<(), InvalidUtf8> {
        let bytes = self.finish_character(bytes, text)?;
        match simdutf8::compat::from_utf8(bytes) {
            Ok(valid) => text.push_str(valid),
            Err(error) if error.error_len().is_none() => {
                let (valid, tail) = bytes.split_at(error.valid_up_to());
                text.push_str(simdutf8::basic::from_utf8(valid).map_err(|_| InvalidUtf8)?);
                self.pending[..tail.len()].copy_from_slice(tail);
                self.pending_len = tail.len();
            }
            Err(_) => return Err(InvalidUtf8),
        }
        Ok(())
    }

    /// Bytes held back of a character that is half read; the text may end here if there are none.
    #[must_use]
    pub const fn pending_len(&self) -> usize {
        self.pending_len
    }

    /// Completes the pending character, if any, and returns the bytes after it.
    fn finish_character<'a>(
        &mut self,
        mut bytes: &'a [u8],
        text: &mut String,
    ) -> Result<&'a [u8], InvalidUtf8> {
        while self.pending_len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            // In bounds: four bytes are a character or an error, so at most three are ever left
            // pending.
            self.pending[self.pending_len] = byte;
            self.pending_len += 1;
            match std::str::from_utf8(&self.pending[..self.pending_len]) {
                Ok(character) => {
                    text.push_str(character);
                    self.pending_len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(InvalidUtf8),
            }
        }
        Ok(bytes)
    }
}
