//! stub
#![allow(missing_docs, reason = "stub")]
#[derive(Debug)] pub struct Scene; 
#[derive(Debug)] pub struct Reply { pub stdout: Vec<u8>, pub stderr: Vec<u8>, pub exit: i32, pub conduct: Conduct }
#[derive(Debug)] pub enum Conduct { Answer, Hang, HangIgnoringTerm, Flood { bytes: u64 }, Delay(std::time::Duration) }
impl Scene { pub fn load(_p: &std::path::Path) -> Result<Self, std::io::Error> { Ok(Self) }
 pub fn answer(&self, _a: &[String]) -> Reply { Reply { stdout: vec![], stderr: vec![], exit: 0, conduct: Conduct::Answer } } }
